package kairos.peers;

/**
 * The two rules over 35 closed local days and the running one; a state is a plain array of ints.
 *
 * <p>FALL: voice seconds of the last 7 closed days are at most 60 % of a quarter of the 28 days before, which were at least
 * BASE_MIN. RICH: charges of the last 35 closed days are above RICH_FEN. A finding is told when a rule begins to hold and
 * when it ends. The same text is in rules_rings/*.yaml, for Kairos.
 */
public final class Rings {
  public static final int FALL = 1;
  public static final int RICH = 2;
  public static final int WORDS = 2 + 2 * 36;
  private static final int DAYS = 36;
  private static final int NEWEST = 0;
  private static final int HOLDS = 1;
  private static final long TZ_MS = 28_800_000L;
  private static final long DAY_MS = 86_400_000L;
  private static final int FIRST = 2;
  private static final int BASE_MIN = 9_000;
  private static final int RICH_FEN = 300;
  private static final int CLOSED = 35;

  private Rings() {}

  /** Add an event to the state; returns which rules changed: bits of those that hold now, and in the high half of all that changed. */
  public static int add(int[] state, long occurredAt, boolean isVoice, long quantity, long chargeFen) {
    int day = (int) ((occurredAt + TZ_MS) / DAY_MS);
    roll(state, day);
    if (day > state[NEWEST] - DAYS) {
      int at = FIRST + day % DAYS * 2;
      if (isVoice) {
        state[at] += (int) quantity;
      }
      state[at + 1] += (int) chargeFen;
    }
    int holds = judge(state, day);
    int changed = holds ^ state[HOLDS];
    state[HOLDS] = holds;
    return changed << 16 | holds;
  }

  private static void roll(int[] state, int day) {
    int newest = state[NEWEST];
    if (day <= newest) {
      return;
    }
    for (int each = Math.max(newest + 1, day - DAYS + 1); each <= day; each++) {
      int at = FIRST + each % DAYS * 2;
      state[at] = 0;
      state[at + 1] = 0;
    }
    state[NEWEST] = day;
  }

  private static int judge(int[] state, int day) {
    long recent = 0;
    long base = 0;
    long charges = 0;
    int at = day % DAYS;
    for (int back = 1; back <= CLOSED; back++) {
      at = at == 0 ? DAYS - 1 : at - 1;
      if (back <= 7) {
        recent += state[FIRST + 2 * at];
      } else {
        base += state[FIRST + 2 * at];
      }
      charges += state[FIRST + 2 * at + 1];
    }
    int holds = 0;
    if (base >= BASE_MIN && recent * 400 <= 60 * base) {
      holds |= FALL;
    }
    if (charges > RICH_FEN) {
      holds |= RICH;
    }
    return holds;
  }

  /** A finding as text: customer, rule, state, event time. */
  public static String finding(long customerId, int rule, boolean holds, long occurredAt) {
    return customerId + "," + (rule == FALL ? "FALL" : "RICH") + "," + (holds ? "RAISED" : "RESOLVED") + "," + occurredAt;
  }
}
