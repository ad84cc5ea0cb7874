"""The way in: `automl`, `python -m automl` and `torchrun -m automl`."""


def main() -> None:
    """The command line; Ctrl-C while it is still being imported ends it without a traceback."""
    try:
        from automl.cli import main as command_line

        command_line()
    except KeyboardInterrupt:
        raise SystemExit(75) from None


if __name__ == "__main__":
    main()
