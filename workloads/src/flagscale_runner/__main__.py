"""`python -m flagscale_runner`: the same as the program `flagscale`."""

from flagscale_runner.cli.app import app

if __name__ == "__main__":
    app(prog_name="flagscale")
