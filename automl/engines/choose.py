"""Which module trains and predicts a model."""

from typing import cast

from automl.engines.protocol import Engine


def engine(name: str) -> Engine:
    """`native`, or `yolo` from the extra of that name."""
    if name == "yolo":
        from automl.engines import yolo

        return cast(Engine, yolo)
    from automl.engines import native

    return cast(Engine, native)
