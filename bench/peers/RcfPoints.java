import com.amazon.randomcutforest.RandomCutForest;
import java.lang.management.ManagementFactory;
import java.util.Locale;
import java.util.Random;

/** RcfPoints SECONDS: scores a daily wave with noise with AWS' forest (shingle 8, 50 trees, sample 256); prints points and CPU-milliseconds. */
public class RcfPoints {
  public static void main(String[] args) {
    double seconds = Double.parseDouble(args[0]);
    Random random = new Random(7);
    double[] points = new double[20_000];
    for (int i = 0; i < points.length; i++) points[i] = 100 + 20 * Math.sin(2 * Math.PI * i / 1440) + 2 * random.nextGaussian();
    RandomCutForest forest = RandomCutForest.builder().dimensions(8).shingleSize(8).internalShinglingEnabled(true)
        .numberOfTrees(50).sampleSize(256).parallelExecutionEnabled(false).randomSeed(42).build();
    double sum = 0;
    double[] point = new double[1];
    // Compiled, and the sample is full.
    for (double value : points) { point[0] = value; sum += forest.getAnomalyScore(point); forest.update(point); }
    long done = 0;
    long start = cpuNanos();
    while (cpuNanos() - start < seconds * 1e9) {
      for (int i = 0; i < 1000; i++, done++) {
        point[0] = points[(int) (done % points.length)];
        sum += forest.getAnomalyScore(point);
        forest.update(point);
      }
    }
    if (Double.isNaN(sum)) throw new IllegalStateException("the forest scores nothing");
    System.out.printf(Locale.ROOT, "{\"units\":%d,\"cpuMs\":%.3f}%n", done, (cpuNanos() - start) / 1e6);
  }

  private static long cpuNanos() { return ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime(); }
}
