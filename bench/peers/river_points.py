"""river_points.py MODEL SECONDS: scores a daily wave with noise, one point after the other; prints points and CPU-milliseconds."""
import json
import math
import random
import sys
import time

from river import anomaly, preprocessing, time_series

name, seconds = sys.argv[1], float(sys.argv[2])
noise = random.Random(7)
points = [100 + 20 * math.sin(2 * math.pi * i / 1440) + noise.gauss(0, 2) for i in range(2000)]

if name == "half-space-trees":
    trees = preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(seed=42)

    def step(value):
        trees.score_one({"value": value})
        trees.learn_one({"value": value})

elif name == "holt-winters":
    detector = anomaly.PredictiveAnomalyDetection(
        time_series.HoltWinters(alpha=0.3, beta=0.1, gamma=0.6, seasonality=24), horizon=1, n_std=3.0, warmup_period=30
    )
    # It raises IndexError when it is asked before the first season has passed.
    for value in points[:96]:
        detector.learn_one(None, value)

    def step(value):
        detector.score_one(None, value)
        detector.learn_one(None, value)

else:
    sys.exit(f"no model is called {name}")

for value in points:
    step(value)
done = 0
start = time.process_time()
while time.process_time() - start < seconds:
    for value in points:
        step(value)
    done += len(points)
print(json.dumps({"units": done, "cpuMs": (time.process_time() - start) * 1000}))
