"""Trains the document's model twice, for an epoch each, with the default logger: the runs ``seed0`` and ``seed1``.

Started in an empty folder with the folder of the program (examples/seed); what W&B is given at the end of that program
is given to the run here, too.
"""

import json
import sys

sys.path.insert(0, sys.argv[1])

import pandas as pd
import train

from fulgurite.loggers import TrackLogger

PROJECT = "VAE_Anomaly"


def trained(seed: int) -> dict[str, object]:
    out = f"out{seed}"
    logger = TrackLogger(out, project=PROJECT, run_name=f"seed {seed}", id=f"seed{seed}", log_model=True)
    train.make_logger = lambda hparams, folder: logger
    sys.argv = ["train.py", "--epochs", str(seed + 1), "--out", out, "--seed", str(seed)]
    train.main()

    found = pd.read_csv(f"{out}/scores.csv")
    rows = train.flagged(found)[["time", "target", "score"]]
    logger.log_table(key="flagged_rows", columns=list(rows), data=rows.to_numpy().tolist())
    logger.log_image(key="picture", images=[f"{out}/seed.png"], caption=["what is strange"])
    logger.log_histogram("scores", found["score"].to_numpy(), bins=24)
    logger.finalize("success")
    return {"flagged": rows.to_numpy().tolist(), "test_loss": float(found["score"].mean())}


print(json.dumps([trained(seed) for seed in (0, 1)]))
