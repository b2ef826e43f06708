"""Leaving at once. A restart is always safe here; a half-dead member of the group is not."""

import logging
import os
from typing import Final, NoReturn

from services.detector.errors import DetectorError

EXIT_FATAL: Final = 70
EXIT_STATE_UNUSABLE: Final = 78

log = logging.getLogger(__name__)


def die(why: BaseException | str, *, code: int = EXIT_FATAL) -> NoReturn:
    """Log why and end the process, from any thread, without any clean-up."""
    if isinstance(why, DetectorError) or not isinstance(why, BaseException):
        log.critical("detector.fatal", extra={"reason": str(why)})
    else:
        log.critical("detector.fatal", extra={"reason": repr(why)}, exc_info=why)
    logging.shutdown()
    os._exit(code)
