"""drain3_lines.py FILE SECONDS: Drain3 with four masks over the lines of a file, again and again; prints lines and CPU-milliseconds."""
import json
import logging
import sys
import time

from drain3 import TemplateMiner
from drain3.masking import MaskingInstruction
from drain3.template_miner_config import TemplateMinerConfig

logging.disable(logging.CRITICAL)
config = TemplateMinerConfig()
config.drain_sim_th = 0.4
config.drain_depth = 4
config.profiling_enabled = False
config.masking_instructions = [
    MaskingInstruction(pattern, name)
    for pattern, name in (
        (r"((?<=[^A-Za-z0-9])|^)(([0-9a-f]{2,}:){3,}([0-9a-f]{2,}))((?=[^A-Za-z0-9])|$)", "ID"),
        (r"((?<=[^A-Za-z0-9])|^)(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})((?=[^A-Za-z0-9])|$)", "IP"),
        (r"((?<=[^A-Za-z0-9])|^)(0x[a-f0-9A-F]+)((?=[^A-Za-z0-9])|$)", "HEX"),
        (r"((?<=[^A-Za-z0-9])|^)([\-\+]?\d+)((?=[^A-Za-z0-9])|$)", "NUM"),
    )
]
miner = TemplateMiner(config=config)
with open(sys.argv[1], encoding="utf-8") as file:
    lines = file.read().splitlines()
seconds = float(sys.argv[2])
for line in lines:
    miner.add_log_message(line)
done = 0
start = time.process_time()
while time.process_time() - start < seconds:
    for line in lines:
        miner.add_log_message(line)
    done += len(lines)
print(json.dumps({"units": done, "cpuMs": (time.process_time() - start) * 1000}))
