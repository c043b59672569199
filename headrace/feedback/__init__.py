"""What users say: record it, and remember a correction at once for its question and its rewordings."""

from headrace.feedback.memory import Memory, Recalled
from headrace.feedback.radius import Fixed, Radius
from headrace.feedback.record import record

__all__ = ["Fixed", "Memory", "Radius", "Recalled", "record"]
