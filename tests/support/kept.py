"""A logger that keeps what it is given, for tests of those who log."""

from fulgurite.core.logger import Logger


class Kept(Logger):
    """Keeps rows, pictures and tables in lists."""

    name = version = "kept"

    def __init__(self):
        self.rows, self.pictures, self.tables = [], [], []

    def log_metrics(self, metrics, step=None):
        self.rows.append((step, metrics))

    def log_hyperparams(self, params, *args, **kwargs):
        pass

    def log_image(self, key, images, step=None, **kwargs):
        self.pictures.append((key, images, step, kwargs))

    def log_table(self, key, columns=None, data=None, dataframe=None, step=None):
        self.tables.append((key, columns, data, step))
