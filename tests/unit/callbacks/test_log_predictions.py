"""LogPredictions: which samples, as what, at which step, and where predictions come from."""

import pytest
import torch
from torch.utils.data import DataLoader

import fulgurite
from fulgurite.base.errors import MisconfigurationException
from fulgurite.callbacks import LogPredictions
from fulgurite.testing import QUIET
from fulgurite.trainer import Trainer
from support.kept import Kept


class Classifier(fulgurite.LightningModule):
    """Classes of small pictures; ``returns`` says what its validation step gives."""

    def __init__(self, returns=lambda scores: None, classes=3):
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, classes))
        self.returns = returns
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.net(x)

    def training_step(self, batch, batch_idx):
        return self.net(batch[0]).square().mean()

    def validation_step(self, batch, batch_idx):
        return self.returns(self.net(batch[0]))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def pictures(number=6, channels=3):
    x = torch.rand(number, channels, 2, 12 // (2 * channels), generator=torch.Generator().manual_seed(1))
    return [(each, index % 3) for index, each in enumerate(x)]


def fitted(callback, model=None, data=None, **arguments):
    """Two epochs of three batches, with three of validation; the logger."""
    logger, data = Kept(), data or pictures()
    trainer = Trainer(**{**QUIET, "max_epochs": 2, "logger": logger, "callbacks": [callback], **arguments})
    trainer.fit(model or Classifier(), DataLoader(data, batch_size=2), DataLoader(data, batch_size=2))
    return logger


def test_pictures_have_target_and_prediction_as_caption():
    """The first batch's samples, once a validation, where the validation's own row stands."""
    logger = fitted(LogPredictions(key="seen", class_names=["cat", "dog", "hen"]))

    assert [(key, step) for key, _, step, _ in logger.pictures] == [("seen", 2), ("seen", 5)]
    _, images, _, lists = logger.pictures[0]
    assert torch.equal(torch.stack(images), torch.stack([each for each, _ in pictures()[:2]]))
    assert [caption.split(",")[0] for caption in lists["caption"]] == ["target: cat", "target: dog"]
    assert all(caption.split("prediction: ")[1] in ("cat", "dog", "hen") for caption in lists["caption"])


def test_the_step_is_that_of_the_validations_row():
    """Pictures and metrics of one validation meet on the axis, with accumulation and in mid-epoch, too."""

    class Logging(Classifier):
        def validation_step(self, batch, batch_idx):
            self.log("val", 1.0)

    logger = fitted(LogPredictions(), Logging(), accumulate_grad_batches=2, val_check_interval=1)

    assert [step for _, _, step, _ in logger.pictures] == [step for step, row in logger.rows if "val" in row]


@pytest.mark.parametrize(
    ("returns", "prediction"),
    [
        (lambda scores: scores, None),
        (lambda scores: scores.argmax(1), None),
        (lambda scores: {"loss": scores.mean(), "logits": scores}, None),
        (lambda scores: {"other": scores}, "other"),
        (lambda scores: None, lambda module, batch, outputs: module.net(batch[0]).argmax(1)),
        (lambda scores: None, None),
        (lambda scores: scores.mean(), None),
    ],
)
def test_where_predictions_come_from(returns, prediction):
    """What the step returned for each sample, a name in its dict, a function, or else the module itself."""
    model, logger = Classifier(returns), Kept()
    trainer = Trainer(**{**QUIET, "logger": logger, "callbacks": [LogPredictions(prediction=prediction, as_="table")]})
    trainer.validate(model, DataLoader(pictures(), batch_size=2), verbose=False)

    with torch.no_grad():
        expected = model.net(torch.stack([each for each, _ in pictures()[:2]])).argmax(1).tolist()
    ((_, columns, rows, _),) = logger.tables
    assert columns == ["input", "target", "prediction"]
    assert [row[1:] for row in rows] == [[0, expected[0]], [1, expected[1]]]
    assert torch.equal(rows[0][0], pictures()[0][0])


def test_the_module_is_called_only_for_the_samples_and_changes_nothing():
    """A forward that draws random numbers leaves the run's own as they were."""

    class Sampling(Classifier):
        def forward(self, x):
            assert not torch.is_grad_enabled() and not self.training and len(x) == 1
            return super().forward(x) + torch.rand(3, device=self.device)

        def training_step(self, batch, batch_idx):
            return super().training_step(batch, batch_idx) * torch.rand((), device=self.device)

    weights = []
    for callbacks in ([], [LogPredictions(num_samples=1)]):
        torch.manual_seed(5)
        model = Sampling()
        fitted(callbacks[0], model) if callbacks else Trainer(max_epochs=2, **QUIET).fit(
            model, DataLoader(pictures(), batch_size=2), DataLoader(pictures(), batch_size=2)
        )
        weights.append(model.net[1].weight.detach().clone())
        assert model.calls == (3 if callbacks else 0)  # the sanity check tries it, too

    assert torch.equal(*weights)


def test_predicted_pictures_stand_beside_the_input():
    """An autoencoder's output, and a target that is a picture; the caption says which is which."""

    class Auto(Classifier):
        def validation_step(self, batch, batch_idx):
            return batch[0] / 2

    data = [(each, each[:1]) for each, _ in pictures()]
    logger = fitted(LogPredictions(num_samples=1), Auto(), data, max_epochs=1)

    ((_, (image,), _, lists),) = logger.pictures
    assert torch.allclose(image, torch.cat([data[0][0], data[0][1].expand(3, -1, -1), data[0][0] / 2], dim=2))
    assert lists["caption"] == ["left to right: input, target, prediction"]


def test_grey_pictures_without_channels_must_be_asked_for():
    """A matrix may be a picture or a series; by default it is told in a table."""
    data = [(torch.rand(3, 4), 0.5) for _ in range(4)]
    for as_, found in ((None, "tables"), ("images", "pictures")):
        logger = fitted(LogPredictions(as_=as_), Classifier(lambda scores: scores[:, 0]), data, max_epochs=1)
        assert len(getattr(logger, found)) == 1

    assert logger.pictures[0][1][0].shape == (1, 3, 4) and "target: 0.5" in logger.pictures[0][3]["caption"][0]


def test_a_table_of_numbers_is_rounded():
    """Few numbers are written out, many are told by their shape; batches without targets have no such column."""

    class Line(Classifier):
        def validation_step(self, batch, batch_idx):
            return torch.full((len(batch), 1), 1 / 3)

        def training_step(self, batch, batch_idx):
            return self.net(batch).mean()

    for width, told in ((2, "[0.1235, 0.1235]"), (12, "a tensor (12)")):
        data = [torch.full((width,), 0.123456)] * 4
        model = Line()
        model.net = torch.nn.Linear(width, 1)
        ((_, columns, rows, _),) = fitted(LogPredictions(), model, data, max_epochs=1).tables
        assert (columns, rows[0]) == (["input", "prediction"], [told, 0.3333])


def test_dicts_are_taken_apart_by_their_usual_names():
    """As Hugging Face's loaders give them."""

    class Named(Classifier):
        def training_step(self, batch, batch_idx):
            return self.net(batch["pixel_values"]).mean()

        def validation_step(self, batch, batch_idx):
            pass

    data = [{"pixel_values": x, "labels": y} for x, y in pictures()]
    logger = fitted(LogPredictions(), Named(), data, max_epochs=1)

    assert logger.pictures[0][3]["caption"][1].startswith("target: 1, prediction: ")


def test_every_n_epochs_and_loaders():
    """Every second epoch, of the second loader."""

    class Two(Classifier):
        def validation_step(self, batch, batch_idx, dataloader_idx):
            return batch[0].mean((1, 2, 3))

    logger, loader = Kept(), DataLoader(pictures(), batch_size=2)
    callback = LogPredictions(every_n_epochs=2, dataloader_idx=1, num_samples=1)
    trainer = Trainer(max_epochs=4, **{**QUIET, "logger": logger, "callbacks": [callback]})
    other = DataLoader(pictures()[::-1], batch_size=2)
    trainer.fit(Two(), loader, [loader, other])

    assert len(logger.pictures) == 2
    assert torch.equal(logger.pictures[0][1][0], pictures()[-1][0])


@pytest.mark.parametrize(
    ("callback", "words"),
    [
        (LogPredictions(prediction="nothing"), "prediction='nothing'.*returned a tensor"),
        (LogPredictions(as_="images", split=lambda batch: (batch[1], None)), r"as_='images'.*a tensor \(2\)"),
        (LogPredictions(split=lambda batch: ({"a": 1}, None)), "inputs, which are a dict with a"),
        (LogPredictions(prediction=lambda module, batch, outputs: outputs[:1]), "different numbers of samples"),
    ],
)
def test_what_cannot_work_is_said_in_the_sanity_check(callback, words):
    """Before the first epoch, with what was given and the way out."""
    model = Classifier(lambda scores: scores)
    with pytest.raises(MisconfigurationException, match=words):
        fitted(callback, model)
    assert model.trainer.global_step == 0


def test_a_module_without_forward_must_return_its_predictions():
    """There is nothing to call."""

    class Bare(fulgurite.LightningModule):
        training_step = Classifier.training_step
        validation_step = Classifier.validation_step
        configure_optimizers = Classifier.configure_optimizers

        def __init__(self):
            super().__init__()
            self.net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3))
            self.returns = lambda scores: None

    with pytest.raises(MisconfigurationException, match="no forward to call.*prediction="):
        fitted(LogPredictions(), Bare())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"num_samples": 0}, "num_samples=0"),
        ({"every_n_epochs": -1}, "every_n_epochs=-1"),
        ({"as_": "video"}, "'video'"),
    ],
)
def test_arguments(arguments, words):
    """Refused where they are given."""
    with pytest.raises(MisconfigurationException, match=words):
        LogPredictions(**arguments)


def test_a_logger_is_needed():
    """Said before the run begins."""
    with pytest.raises(MisconfigurationException, match="LogPredictions needs a logger"):
        fitted(LogPredictions(), logger=False)
