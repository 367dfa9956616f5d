"""The checks of the exercises: each prints what holds, what does not and a hint, and never raises.

They return True or False, so that a solution can end with `assert checks.gram_matrix(my_gram)`.
"""

from stlib.checks.features import average_pooling, content_target, preprocess_and_inverse, receptive_field  # noqa: F401
