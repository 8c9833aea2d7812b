"""`python -m lineage` is the `lineage` command."""

from lineage.commands.app import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
