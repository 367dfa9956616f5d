"""The checks of the exercises: each prints what holds, what does not and a hint, and never raises.

They return True or False, so that a solution can end with `assert checks.gram_matrix(my_gram)`.
"""
