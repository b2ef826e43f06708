package kairos.peers;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;

/**
 * Counts events, and stops at given numbers of them: prints a line, and waits for the bench to look and to answer a line.
 *
 * <p>One thread counts. Marks are like "200000gc,2000000,6000000gc"; at those with gc a second line follows once all garbage
 * is collected, with the bytes of the heap that are free then.
 */
public final class Meter {
  private static long[] marks = {Long.MAX_VALUE};
  private static boolean[] collects = {false};
  private static int next = 0;
  private static long events = 0;
  private static long customers = 0;
  private static final BufferedReader ANSWERS = new BufferedReader(new InputStreamReader(System.in));

  private Meter() {}

  public static void open(String text) {
    String[] parts = text.split(",");
    marks = new long[parts.length + 1];
    collects = new boolean[parts.length];
    for (int i = 0; i < parts.length; i++) {
      collects[i] = parts[i].endsWith("gc");
      marks[i] = Long.parseLong(parts[i].replace("gc", ""));
    }
    marks[parts.length] = Long.MAX_VALUE;
  }

  public static void newCustomer() {
    customers++;
  }

  /** Count an event; returns false once the last mark is behind. */
  public static boolean event() {
    if (++events < marks[next]) {
      return true;
    }
    System.out.println("mark " + events + " " + customers);
    answer();
    if (collects[next]) {
      System.gc();
      System.gc();
      Runtime runtime = Runtime.getRuntime();
      long free = runtime.freeMemory();
      System.out.println("collected " + events + " " + customers + " " + free);
      answer();
    }
    next++;
    return next < collects.length;
  }

  private static void answer() {
    System.out.flush();
    try {
      if (ANSWERS.readLine() == null) {
        Runtime.getRuntime().halt(3);
      }
    } catch (IOException exc) {
      Runtime.getRuntime().halt(3);
    }
  }
}
