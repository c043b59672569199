"""Feedback that counts by the owner's word, or as others agree, says so by its state, not by its reason."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Read the state from the reason; of those who agree the ids stay, and nobody is shown them."""
    op.execute(
        "UPDATE feedback SET state = 'accepted' WHERE state = 'counts' AND reason = 'accepted by the owner'"
    )
    op.execute(
        "UPDATE feedback SET state = 'agreed', reason = substr(reason, 11)"
        " WHERE state = 'counts' AND reason LIKE 'agreed by %'"
    )
