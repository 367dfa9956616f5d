"""The checks of the exercises: each prints what holds, what does not and a hint, and never raises.

They return True or False, so that a solution can end with `assert checks.gram_by_loops(my_gram)`.
"""

from stlib.checks.convolutions import (  # noqa: F401
    diagonal_kernel,
    patch_classifier,
    stack_summary,
    strided_convolution,
)
from stlib.checks.features import average_pooling, content_target, preprocess_and_inverse, receptive_field  # noqa: F401
from stlib.checks.gram import blended_styles, gram_by_loops, gram_per_position, style_distance  # noqa: F401
