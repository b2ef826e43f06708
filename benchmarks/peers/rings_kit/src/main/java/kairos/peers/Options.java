package kairos.peers;

import java.util.HashMap;
import java.util.Map;

/** Arguments of the form name=value; all are required. */
public final class Options {
  private final Map<String, String> given = new HashMap<>();

  public static Options of(String[] args) {
    Options options = new Options();
    for (String arg : args) {
      int at = arg.indexOf('=');
      options.given.put(arg.substring(0, at), arg.substring(at + 1));
    }
    return options;
  }

  public String get(String name) {
    String value = given.get(name);
    if (value == null) {
      throw new IllegalArgumentException("missing " + name + "=");
    }
    return value;
  }
}
