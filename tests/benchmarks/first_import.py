"""What `import httpkit` costs over `import requests`, and a session over requests' own.

    python tests/benchmarks/first_import.py [ROUNDS]

CPU time in fresh processes, interleaved; the medians, in milliseconds. The compiled files are in a
folder of their own, which the first, uncounted round fills.
"""

import os
import statistics
import subprocess
import sys
import tempfile

PROGRAMS = {
    "import requests": ("", "import requests"),
    "import httpkit": ("", "import httpkit"),
    "requests.Session()": ("import requests", "for _ in range(100): requests.Session()"),
    "httpkit.Session()": ("import httpkit", "for _ in range(100): httpkit.Session()"),
}
MEASURE = "import time\n{}\nbegan = time.process_time()\n{}\nprint(time.process_time() - began)"


def measured(before, program, variables):
    """Return the milliseconds that a program takes in a fresh process."""
    run = [sys.executable, "-c", MEASURE.format(before, program)]
    ran = subprocess.run(run, capture_output=True, text=True, check=True, env=variables)
    return float(ran.stdout) * 1000


def main(rounds):
    """Print the median of each program."""
    times = {name: [] for name in PROGRAMS}
    with tempfile.TemporaryDirectory() as folder:
        variables = {**os.environ, "PYTHONPYCACHEPREFIX": folder}
        variables.pop("PYTHONDONTWRITEBYTECODE", None)
        for number in range(rounds + 1):
            for name, (before, program) in PROGRAMS.items():
                taken = measured(before, program, variables)
                if number:
                    times[name].append(taken)
    for name, taken in times.items():
        per = " (100 of them)" if name.endswith("()") else ""
        sys.stdout.write(f"{name:20} {statistics.median(taken):7.1f} ms{per}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
