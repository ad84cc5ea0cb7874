"""Fine-tunes classifiers, segmenters and detectors from one recipe."""

__version__ = "0.1.0"
