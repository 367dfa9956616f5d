"""The checks of the exercises: each prints what holds, what does not and a hint, and never raises.

They return True or False, so that a solution can end with `assert checks.gram_by_loops(my_gram)`.
"""

# ruff: noqa: F401
from stlib.checks.appendix_A1 import adain_batch, covariance_from_gram, layer_factor, unbiased_mmd
from stlib.checks.appendix_A2 import boxed_lbfgs, damped_pair, projected_gradient, secant_rates
from stlib.checks.appendix_A3 import best_readout, merged_predictor, multiply_adds, rescaled_pair
from stlib.checks.appendix_A4 import content_map, feathered_guides, found_mix, guided_moments
from stlib.checks.appendix_A5 import fair_shards, flicker, instance_normalization, transposed_writes
from stlib.checks.appendix_A6 import chain_margin, cheapest_side, found_side, joined_statistics
from stlib.checks.lesson_01 import diagonal_kernel, five_strangers, stack_summary, strided_convolution
from stlib.checks.lesson_02 import average_pooling, content_target, preprocess_and_inverse, values_that_see
from stlib.checks.lesson_03 import error_from_positions, gram_by_loops, gram_per_position, strength_free_error
from stlib.checks.lesson_04 import balanced_weights, broken_gradients, content_gradient, relative_style_gradient
from stlib.checks.lesson_05 import broken_programs, largest_stable_step, momentum, stopping_rule
from stlib.checks.lesson_06 import kept_channel, kept_region, made_again, mixed_style
