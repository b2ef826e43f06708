package kairos.peers;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.List;
import org.apache.avro.Schema;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;

/**
 * Reads usage events in Confluent framing with Avro's decoder, field by field in the order of the schema, which is checked
 * once: a record object and schema resolution per event would cost a microsecond more.
 */
public final class UsageReader {
  private static final int HEADER_BYTES = 5;
  private static final List<String> ORDER =
      List.of("customer_id", "occurred_at", "ingested_at", "history", "event_id", "source", "service", "direction", "quantity", "charge_fen");
  private final int schemaId;
  private final int voice;
  private BinaryDecoder decoder;

  public long customerId;
  public long occurredAt;
  public boolean isVoice;
  public long quantity;
  public long chargeFen;

  public UsageReader(int schemaId, Path path) throws IOException {
    Schema schema = new Schema.Parser().parse(path.toFile());
    List<String> names = schema.getFields().stream().map(Schema.Field::name).toList();
    if (!names.subList(0, ORDER.size()).equals(ORDER)) {
      throw new IllegalArgumentException("the usage event begins otherwise: " + names);
    }
    this.schemaId = schemaId;
    this.voice = schema.getField("service").schema().getEnumOrdinal("VOICE");
  }

  /** Fill the fields; false when the record is of another kind. */
  public boolean read(byte[] record) throws IOException {
    if (record == null || record.length < HEADER_BYTES || record[0] != 0) {
      return false;
    }
    if (ByteBuffer.wrap(record).getInt(1) != schemaId) {
      return false;
    }
    decoder = DecoderFactory.get().binaryDecoder(record, HEADER_BYTES, record.length - HEADER_BYTES, decoder);
    customerId = decoder.readLong();
    occurredAt = decoder.readLong();
    decoder.readLong();
    decoder.readBoolean();
    decoder.skipString();
    decoder.skipString();
    isVoice = decoder.readEnum() == voice;
    decoder.readEnum();
    quantity = decoder.readLong();
    chargeFen = decoder.readLong();
    return true;
  }
}
