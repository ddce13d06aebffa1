"""`make mutants`: put each listed fault into a copy of the project and see its tests fail.

With words behind it (`make mutants TESTS=refusal`), those mutants whose name or file holds one of them.
"""

import argparse
import os
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.mutants.mutant import judge, listed


def main() -> int:
    """Return 1 if a mutant survived."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("words", nargs="*", help="only mutants whose name or file holds one of these")
    words = parser.parse_args().words
    chosen = [one for one in listed() if not words or any(word in one.name or word in one.file for word in words)]
    if not chosen:
        parser.error("no mutant is called so")
    survivors = 0
    with ThreadPoolExecutor(os.cpu_count()) as executor:
        for number, verdict in enumerate(executor.map(judge, chosen), start=1):
            survivors += not verdict.is_killed
            word = "killed  " if verdict.is_killed else "SURVIVED"
            print(f"{number:3}/{len(chosen)} {word} {verdict.mutant.name}: {verdict.says}", flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} mutants were killed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
