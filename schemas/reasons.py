"""The closed lists of reason codes: why an event is refused, and why bytes cannot be decoded.

Codes are part of the contract with upstream systems: codes may be added, never renamed or reused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why ingest refuses an event, or a request as a whole."""

    # About one field.
    MISSING = "missing"
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"
    TOO_LONG = "too_long"
    EMPTY = "empty"
    BAD_FORMAT = "bad_format"
    UNKNOWN_VALUE = "unknown_value"
    UNKNOWN_FIELD = "unknown_field"
    IN_THE_FUTURE = "in_the_future"
    TOO_OLD = "too_old"
    INCONSISTENT = "inconsistent"
    TOO_MANY_ITEMS = "too_many_items"
    NOT_ALLOWED_HERE = "not_allowed_here"
    # About one event.
    UNKNOWN_KIND = "unknown_kind"
    DUPLICATE_IN_BATCH = "duplicate_in_batch"
    DUPLICATE_FIELD = "duplicate_field"
    NOT_AN_OBJECT = "not_an_object"
    NOT_UTF8 = "not_utf8"
    MALFORMED_JSON = "malformed_json"
    MALFORMED_ROW = "malformed_row"
    TOO_DEEP = "too_deep"
    TOO_LARGE = "too_large"
    UNMAPPED = "unmapped"
    # About a request or a file as a whole.
    EMPTY_BATCH = "empty_batch"
    BATCH_TOO_LARGE = "batch_too_large"
    BODY_TOO_LARGE = "body_too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    UNSUPPORTED_ENCODING = "unsupported_encoding"
    MALFORMED_BODY = "malformed_body"
    OVERLOADED = "overloaded"
    BROKERS_UNAVAILABLE = "brokers_unavailable"


class DecodeReason(StrEnum):
    """Why bytes of a topic cannot be decoded; header `reason` of a dead letter."""

    TRUNCATED_FRAME = "truncated_frame"
    NOT_FRAMED = "not_framed"
    UNKNOWN_SCHEMA_ID = "unknown_schema_id"
    UNEXPECTED_SCHEMA = "unexpected_schema"
    RECORD_TOO_LARGE = "record_too_large"
    TRUNCATED_BODY = "truncated_body"
    TRAILING_BYTES = "trailing_bytes"
    INVALID_BODY = "invalid_body"
    NOT_CANONICAL = "not_canonical"
    KEY_MISMATCH = "key_mismatch"


@dataclass(frozen=True)
class Explanation:
    """One line for people, in both languages of the product."""

    en: str
    zh: str


EXPLANATIONS: Mapping[Reason | DecodeReason, Explanation] = {
    Reason.MISSING: Explanation("A required field is not there.", "缺少必填字段。"),
    Reason.WRONG_TYPE: Explanation("The value has another type than the field.", "值的类型与字段不符。"),
    Reason.OUT_OF_RANGE: Explanation(
        "The number or date is outside what the field allows.", "数值或日期超出允许范围。"
    ),
    Reason.TOO_LONG: Explanation("The text is longer than the field allows.", "文本超过字段允许的长度。"),
    Reason.EMPTY: Explanation("The text is empty where it must not be.", "文本不允许为空。"),
    Reason.BAD_FORMAT: Explanation(
        "The text does not have the form that the field asks for.", "文本格式不符合字段要求。"
    ),
    Reason.UNKNOWN_VALUE: Explanation("The word is not one of the list.", "取值不在允许的列表中。"),
    Reason.UNKNOWN_FIELD: Explanation(
        "This kind has no such field; own fields start with x_.", "该类事件没有此字段；自定义字段须以 x_ 开头。"
    ),
    Reason.IN_THE_FUTURE: Explanation(
        "occurred_at is more than 5 minutes ahead of now.", "发生时间比当前时间晚 5 分钟以上。"
    ),
    Reason.TOO_OLD: Explanation("The instant is before 2000-01-01.", "时间早于 2000-01-01。"),
    Reason.INCONSISTENT: Explanation("Two fields contradict each other.", "两个字段互相矛盾。"),
    Reason.TOO_MANY_ITEMS: Explanation("The list or map has more items than allowed.", "列表或映射的条目过多。"),
    Reason.NOT_ALLOWED_HERE: Explanation("The field is not accepted through this door.", "此入口不接受该字段。"),
    Reason.UNKNOWN_KIND: Explanation("There is no such kind of event.", "没有这种事件。"),
    Reason.DUPLICATE_IN_BATCH: Explanation(
        "The same source and event_id came earlier in this request with other contents.",
        "同一请求中已出现相同 source 与 event_id 而内容不同的事件。",
    ),
    Reason.DUPLICATE_FIELD: Explanation("A field is there twice.", "字段重复出现。"),
    Reason.NOT_AN_OBJECT: Explanation("The event is not a JSON object.", "事件不是 JSON 对象。"),
    Reason.NOT_UTF8: Explanation("The bytes are not UTF-8.", "字节不是有效的 UTF-8。"),
    Reason.MALFORMED_JSON: Explanation("The text is not JSON.", "文本不是有效的 JSON。"),
    Reason.MALFORMED_ROW: Explanation(
        "The row has another number of columns than the header.", "该行的列数与表头不符。"
    ),
    Reason.TOO_DEEP: Explanation("Objects or lists are nested too deeply.", "嵌套层次过深。"),
    Reason.TOO_LARGE: Explanation("The event is larger than allowed.", "事件超过允许的大小。"),
    Reason.UNMAPPED: Explanation("The mapping file says nothing about this value.", "映射文件没有规定该值如何转换。"),
    Reason.EMPTY_BATCH: Explanation("The request has no events.", "请求中没有事件。"),
    Reason.BATCH_TOO_LARGE: Explanation(
        "The request has too many events; send less at a time.", "请求中的事件过多，请分批发送。"
    ),
    Reason.BODY_TOO_LARGE: Explanation("The request body is too large.", "请求体过大。"),
    Reason.UNSUPPORTED_MEDIA_TYPE: Explanation("The content type is not one of those accepted.", "不支持该内容类型。"),
    Reason.UNSUPPORTED_ENCODING: Explanation(
        "The content encoding is not one of those accepted.", "不支持该内容编码。"
    ),
    Reason.MALFORMED_BODY: Explanation("The request body cannot be read.", "无法读取请求体。"),
    Reason.OVERLOADED: Explanation("Too much at once; wait and send the same again.", "负载过高，请稍后重发。"),
    Reason.BROKERS_UNAVAILABLE: Explanation(
        "The brokers did not acknowledge in time; nothing is promised, send the same again.",
        "消息系统未及时确认；不作任何承诺，请重发。",
    ),
    DecodeReason.TRUNCATED_FRAME: Explanation("Shorter than the five bytes of a frame.", "不足帧头的五个字节。"),
    DecodeReason.NOT_FRAMED: Explanation("The first byte is not 0.", "首字节不是 0。"),
    DecodeReason.UNKNOWN_SCHEMA_ID: Explanation("The schema id is not in the lock file.", "模式编号不在锁文件中。"),
    DecodeReason.UNEXPECTED_SCHEMA: Explanation("This schema does not belong on this topic.", "该模式不属于此主题。"),
    DecodeReason.RECORD_TOO_LARGE: Explanation("The record is larger than a topic allows.", "记录超过主题允许的大小。"),
    DecodeReason.TRUNCATED_BODY: Explanation("The body ends before the record does.", "记录内容不完整。"),
    DecodeReason.TRAILING_BYTES: Explanation("Bytes follow after the record.", "记录之后还有多余字节。"),
    DecodeReason.INVALID_BODY: Explanation("The body is not a record of this schema.", "内容不是该模式的记录。"),
    DecodeReason.NOT_CANONICAL: Explanation("The body is not in the shortest encoding.", "内容不是最短编码。"),
    DecodeReason.KEY_MISMATCH: Explanation(
        "The record key is not the customer id of the body.", "记录键与内容中的客户编号不一致。"
    ),
}
"""Every code has its line; the reference page docs/events.md is generated from here."""
