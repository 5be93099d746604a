"""`python -m flagscale_runner.local ROOT`: the agent of one folder, in the background."""

import asyncio
import logging
import os
import sys
from pathlib import Path

from flagscale_runner.local.agent import run_agent
from flagscale_runner.local.folders import Folders

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(run_agent(Folders(Path(sys.argv[1])), os.environ))
