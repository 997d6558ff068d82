"""Train image classifiers from the command line, with a learning rate that is never a surprise."""

__version__ = "0.1.0"
