"""Which of several pictures of a unit is the best: that with the highest score.

A score is made by the engine (`imago_engine.synthesis.scoring`); which of candidates is the best follows by
`imago_engine.candidates.best_first`, of which this is the form in SQL.
"""

import sqlalchemy as sa
from sqlalchemy.sql.expression import ClauseList

from services.pictures.tables import VisualizationRow

NO_ACTIVATION = 1e-4
"""What is nearer to 0 is no activation: its picture is a grey field, as that of a unit that nothing moves."""
BEST_FIRST = (
    sa.or_(VisualizationRow.position_y.is_not(None), VisualizationRow.token.is_not(None)),
    VisualizationRow.score.desc().nulls_last(),
    VisualizationRow.activation.desc().nulls_last(),
    VisualizationRow.digest,
)
"""Done pictures of one unit: those at its usual place first, then by score; those without one, of earlier
releases, come after by their activation.
"""
CANDIDATES_BEST_FIRST = "{picture}.score DESC NULLS LAST, {item}.ordinal"
"""Done candidates of one unit and seed of a job: the better one has the higher score, and of equals is the
earlier in the job. `picture` and `item` are what a statement calls `visualizations` and `job_visualizations`.
"""
BEST_FIRST_TEXT = str(ClauseList(*BEST_FIRST))
"""The same as text, for statements that read `visualizations` under no other name."""
