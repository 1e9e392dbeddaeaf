"""Train a VAE on a series, test it, save it, load it again, and draw what it finds strange.

    python examples/seed/train.py --data machine_temperature.csv --epochs 60 --out seed_run

The same folder runs under Lightning's names: say `import pytorch_lightning as pl` here and in model.py, and start
it with `fulgurite run train.py`.
"""

import argparse
import importlib.util
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from data import CATEGORICAL, TsDataset, load_series, write_tables
from model import VAE

import fulgurite as pl
from fulgurite.callbacks import Callback, ModelCheckpoint
from fulgurite.loggers import CSVLogger, WandbLogger

FLAGGED_SHARE = 0.001  # the 0.999 quantile of the test losses, as this model was published


class LossCurve(Callback):
    """Keeps the logged losses of every tenth step for the picture."""

    def __init__(self):
        self.rows = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step % 10 == 0:
            self.rows.append({"step": trainer.global_step, **trainer.callback_metrics})

    def table(self):
        return pd.DataFrame([{name: float(value) for name, value in row.items()} for row in self.rows])


def main():
    options = arguments()
    series = load_series(options.data)
    print(series.note)
    embed_cats = write_tables(series, options.out / "data")
    hparams = hyperparameters(embed_cats, options)
    pl.seed_everything(options.seed)
    model = VAE(**hparams)
    logger = make_logger(hparams, options.out)
    losses = LossCurve()
    # Nothing in `fit` logs `test_loss`. Lightning would save nothing at all; Fulgurite warns, names what was logged,
    # and saves the last weights. Without the version counter a second run replaces the file instead of adding `-v1`.
    checkpoint_callback = ModelCheckpoint(
        monitor="test_loss",
        mode="min",
        dirpath=options.out / "model_checkpoints",
        filename="vae_weights",
        enable_version_counter=False,
    )
    trainer = pl.Trainer(
        accelerator="auto",
        devices=1,
        strategy="ddp_notebook",
        logger=logger,
        max_epochs=hparams["epochs"],
        benchmark=True,
        callbacks=[checkpoint_callback, losses],
        gradient_clip_val=10.0,
        enable_model_summary=True,
        log_every_n_steps=5,
    )
    trainer.fit(model)
    trainer.test(model)

    trained_model = VAE.load_from_checkpoint(options.out / "model_checkpoints" / "vae_weights.ckpt")
    trained_model.freeze()
    test = TsDataset("test", hparams["data_folder_path"], hparams["cont_vars"], hparams["cat_vars"])
    scores = score(trained_model, test)
    if not np.array_equal(scores, score(model.to(trained_model.device).eval(), test)):
        raise SystemExit("The reloaded model does not give the scores of the trained one.")

    found = test.df.assign(score=scores[0], value_part=scores[1])
    found.to_csv(options.out / "scores.csv", index=False)
    picture = draw(series, found, losses.table(), options.out / "seed.png")
    if isinstance(logger, WandbLogger):
        keep_in_wandb(logger, found, picture)
    summarise(found, picture, options.out)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="a CSV with a column of times and one of numbers (river's WaterFlow)")
    parser.add_argument("--epochs", type=int, default=60, help="passes over the training rows (60)")
    parser.add_argument("--out", type=Path, default=Path("seed_run"), help="where everything is written (seed_run)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and noise (0)")
    return parser.parse_args()


def hyperparameters(embed_cats, options):
    return OrderedDict(
        run=f"embsz16_latsz16_bsz128_lay64-128-256-128-64_ep{options.epochs}_cosineWR",
        version=1,
        project_name="VAE_Anomaly",
        cont_vars=["value", "t"],
        cat_vars=CATEGORICAL,
        embedding_sizes=[(count, 16) for count in embed_cats],
        latent_dim=16,
        layer_sizes="64,128,256,128,64",
        batch_norm=True,
        stdev=0.1,
        kld_beta=0.05,
        lr=0.001,
        weight_decay=1e-5,
        batch_size=128,
        epochs=options.epochs,
        data_folder_path=options.out / "data",
    )


def make_logger(hparams, out):
    """W&B without an account where it is installed, a CSV file elsewhere."""
    if importlib.util.find_spec("wandb") is None:
        return CSVLogger(save_dir=out, name="logs")
    return WandbLogger(
        name=hparams["run"], project=hparams["project_name"], version=hparams["run"], save_dir=out, offline=True
    )


@torch.inference_mode()
def score(model, dataset):
    batch = [part.to(model.device) for part in (dataset.cont, dataset.cat, dataset.target)]
    return torch.stack(model.score(batch)).cpu().numpy()


def flagged(found, by="score"):
    return found[found[by] > found[by].quantile(1 - FLAGGED_SHARE)]


def summarise(found, picture, out):
    print(f"\ntest_loss   {found['score'].mean():.4f} over {len(found):,} rows")
    print(f"flagged     the highest {FLAGGED_SHARE:.1%} of the test rows: a share that is chosen, not learned")
    for by, words in (("score", "by the whole loss"), ("value_part", "by the value's part of it alone")):
        rows = [f"{row.time} ({row.target:.4g})" for row in flagged(found, by).itertuples()]
        print(f"            {words}: {len(rows)}, {' to '.join(rows[:1] + rows[1:][-1:])}")
    print("            (the whole loss also grows with `t`, which leaves the range that training saw)")
    print(f"weights     {out / 'model_checkpoints' / 'vae_weights.ckpt'}; loaded again it gives the same scores")
    print(f"scores      {out / 'scores.csv'}")
    print(f"picture     {picture or 'not drawn: matplotlib is not installed'}")


def draw(series, found, losses, path):
    """The series with its flagged rows, the score of each test row, and the losses over the steps."""
    if importlib.util.find_spec("matplotlib") is None:
        return None
    from matplotlib.dates import ConciseDateFormatter
    from matplotlib.figure import Figure

    found = found.assign(time=pd.to_datetime(found["time"]))
    figure = Figure(figsize=(10, 7), layout="constrained")
    axes = figure.subplot_mosaic([["series", "series"], ["score", "losses"]], height_ratios=[3, 2])
    top, below, training = axes["series"], axes["score"], axes["losses"]
    top.plot(series.frame["time"], series.frame["value"], lw=0.7, color="#33557a")
    top.axvspan(found["time"].min(), found["time"].max(), color="#e8eef5", zorder=0, label="test rows")
    for by, color, words in (("value_part", "#e8a33d", "value's part alone"), ("score", "#d1342f", "whole loss")):
        rows = flagged(found, by)
        top.plot(rows["time"], rows["target"], "o", ms=7, color=color, label=f"flagged by the {words}")
        below.semilogy(found["time"], found[by].clip(lower=1e-4), lw=0.8, color=color, label=words)
    top.set(title=series.note.partition(":")[0], ylabel="value")
    below.set(title="score of the test rows")
    for name in losses.columns.drop("step", errors="ignore"):
        training.semilogy(losses["step"], losses[name], lw=0.9, label=name)
    training.set(title="losses while training", xlabel="step")
    for axis in (top, below):
        axis.xaxis.set_major_formatter(ConciseDateFormatter(axis.xaxis.get_major_locator()))
    for axis in axes.values():
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize="small")
    figure.savefig(path, dpi=120)
    return path


def keep_in_wandb(logger, found, picture):
    import wandb

    rows = flagged(found)[["time", "target", "score"]]
    logger.log_table(key="flagged_rows", columns=list(rows), data=rows.to_numpy().tolist())
    if picture:
        logger.log_image(key="picture", images=[str(picture)])
    wandb.finish()


if __name__ == "__main__":
    main()
