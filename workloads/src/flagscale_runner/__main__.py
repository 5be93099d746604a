"""`python -m flagscale_runner`: the same as the program `flagscale`."""

from flagscale_runner.cli.app import main

if __name__ == "__main__":
    main()
