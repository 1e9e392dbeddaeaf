"""The bar in a notebook: widgets where there are some, plain lines where there are none, errors never."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("IPython")

# A shell like a kernel's; tests share their process with others, and a shell is there for good.
PROGRAM = """
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

shell = InteractiveShell.instance()
shell.config["IPKernelApp"] = Config()
result = shell.run_cell('''
import sys
import fulgurite as fg
from fulgurite.callbacks.progress.timed import in_notebook
from fulgurite.testing import QUIET, TinyModule, batches

options = {**QUIET, "enable_progress_bar": True}
trainer = fg.Trainer(max_epochs=2, **options)

class Module(TinyModule):
    def on_validation_epoch_end(self):
        shown.append([type(bar).__name__ for bar in self.trainer.progress_bar_callback._bars.values()])

shown = []
model = Module()
trainer.fit(model, batches(4), batches(2))
trainer.test(model, batches(2), verbose=False)
''')
result.raise_error()
shell.run_cell("print('REPORT', in_notebook(), trainer.global_step, shown)").raise_error()
"""

# What the bar needs of ipywidgets, so that the notebook's bar is drawn where the package is not installed.
WIDGETS = '''
"""Widgets that keep what they are told."""

__version__ = "8.1"


class Style:
    """Takes any attribute."""

    bar_color = None


class Widget:
    made, closed = [], False

    def __init__(self, **settings):
        self.layout, self.style, self.children, self.bar_style, self.value = Style(), Style(), (), "", None
        self.__dict__.update(settings)
        Widget.made.append(self)

    def close(self):
        self.closed = True


class HTML(Widget):
    pass


class FloatProgress(Widget):
    pass


class HBox(Widget):
    pass
'''

# The bars that are on the page at the end: what they say, how far they are, and their colour.
LOOK = r"""
import ipywidgets
for box in ipywidgets.Widget.made:
    if isinstance(box, ipywidgets.HBox) and not box.closed:
        left, bar, right = box.children
        words = left.value.replace("\u2007", " ").split(":")[0]
        boxes = globals().setdefault("boxes", [])
        boxes.append((words, bar.value, bar.max, bar.bar_style))
print("BARS", boxes)
"""


def run(program, folder, **environment):
    """What a fresh interpreter prints; ``folder`` comes before its other packages."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200", "TERM": "dumb", **environment}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout


def test_without_widgets_there_are_plain_lines(tmp_path):
    """No widgets, no redrawing: epochs as lines of a log, and no advice to install anything."""
    without = "import sys\nsys.modules['ipywidgets'] = None\n"

    printed = run(without + PROGRAM, tmp_path)

    assert "REPORT True 8 [['LogLines'], ['LogLines', 'LogLines'], ['LogLines', 'LogLines']]" in printed
    assert "Epoch 1: 4/4 [" in printed
    assert "\r" not in printed and "IProgress" not in printed


def test_with_widgets_the_bar_is_one(tmp_path):
    """Each stage has a widget: training's and test's stay and are full, the others go; no line of a log is printed."""
    (tmp_path / "ipywidgets.py").write_text(WIDGETS)

    printed = run(PROGRAM + LOOK, tmp_path)

    assert "REPORT True 8 [['NotebookBar'], ['NotebookBar', 'NotebookBar'], ['NotebookBar', 'NotebookBar']]" in printed
    assert "BARS [('Epoch 1', 4, 4, 'success'), ('Testing DataLoader 0', 2, 2, 'success')]" in printed
    assert "it/s]\nEpoch" not in printed and "IProgress" not in printed


def test_the_real_widgets_take_it(tmp_path):
    """The same with the package itself, where it is installed."""
    pytest.importorskip("ipywidgets")
    printed = run(PROGRAM, tmp_path, PYTHONWARNINGS="error::RuntimeWarning")
    assert "REPORT True 8 [['NotebookBar'], ['NotebookBar', 'NotebookBar'], ['NotebookBar', 'NotebookBar']]" in printed
