"""Trains the document's model twice, for some epochs each, with the default logger: the runs ``seed0`` and ``seed1``.

Started in an empty folder with the folder of the program (examples/seed); what W&B is given at the end of that program
is given to the run here, too.
"""

import json
import sys
from pathlib import Path

PROJECT = "VAE_Anomaly"


def trained(seed: int, program: Path) -> dict[str, object]:
    """Run the program's own ``main`` and say what it found."""
    # Late: the program lies beside its own modules, and the tests need the name of the project alone.
    sys.path.insert(0, str(program))
    import pandas as pd
    import train

    from fulgurite.loggers import TrackLogger

    out = f"out{seed}"
    logger = TrackLogger(out, project=PROJECT, run_name=f"seed {seed}", id=f"seed{seed}", log_model=True)
    train.make_logger = lambda hparams, folder: logger
    sys.argv = ["train.py", "--epochs", str(4 + seed), "--out", out, "--seed", str(seed)]
    train.main()

    found = pd.read_csv(f"{out}/scores.csv")
    rows = train.flagged(found)[["time", "target", "score"]]
    logger.log_table(key="flagged_rows", columns=list(rows), data=rows.to_numpy().tolist())
    logger.log_image(key="picture", images=[f"{out}/seed.png"], caption=["what is strange"])
    logger.log_histogram("scores", found["score"].to_numpy(), bins=24)
    logger.finalize("success")
    return {"flagged": rows.to_numpy().tolist(), "test_loss": float(found["score"].mean())}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    print(json.dumps([trained(seed, folder) for seed in (0, 1)]))
