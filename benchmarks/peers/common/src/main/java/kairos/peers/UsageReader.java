package kairos.peers;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import kairos.peers.avro.UsageEvent;
import org.apache.avro.Schema;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.specific.SpecificDatumReader;

/** Reads usage events in Confluent framing; Avro resolves the product's schema to the few fields that are needed. */
public final class UsageReader {
  private static final int HEADER_BYTES = 5;
  private final int schemaId;
  private final SpecificDatumReader<UsageEvent> reader;
  private BinaryDecoder decoder;
  private UsageEvent event = new UsageEvent();

  public UsageReader(int schemaId, Path writerSchema) throws IOException {
    this.schemaId = schemaId;
    this.reader = new SpecificDatumReader<>(new Schema.Parser().parse(writerSchema.toFile()), UsageEvent.getClassSchema());
  }

  /** The event, valid until the next call; null when the record is of another kind. */
  public UsageEvent read(byte[] record) throws IOException {
    if (record == null || record.length < HEADER_BYTES || record[0] != 0) {
      return null;
    }
    if (ByteBuffer.wrap(record).getInt(1) != schemaId) {
      return null;
    }
    decoder = DecoderFactory.get().binaryDecoder(record, HEADER_BYTES, record.length - HEADER_BYTES, decoder);
    event = reader.read(event, decoder);
    return event;
  }
}
