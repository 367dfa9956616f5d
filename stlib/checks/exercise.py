"""The engine of the checks: an exercise is declared, and an answer is read against its declaration.

An `Exercise` names a right answer (a short NumPy reference), cases to try it on, laws that every right answer obeys,
and the mistakes people make, each a wrong answer with its hint. Checking prints a line for each thing that holds; at
the first that does not, it prints the hint of the mistake that gives the same results, or else a hint about the line.
"""

import contextlib
import copy
import functools
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import stlib
from stlib.language import translate

but = functools.partial  # the right answer but for a setting: a mistake
UNCHANGED = "the arguments are unchanged"
IN_PLACE = "your code writes into its argument: work on a copy, x = x - ... in place of x -= ... ."


@dataclass(frozen=True, eq=False)
class Law:
    """What every right answer obeys.

    `holds` tells it of an answer; `hint` is a text, or makes one of the answer. Those that break it prove it in the
    tests: wrong answers that get this hint.
    """

    statement: str
    holds: Callable
    hint: str | Callable
    broken_by: tuple = ()

    def advice(self, answer):
        return self.hint(answer) if callable(self.hint) else self.hint


def say(text):
    print(translate(text))


def apply(answer, *arguments):
    return answer(*arguments)


@dataclass(frozen=True, eq=False, kw_only=True)
class Exercise:
    """An exercise; called with an answer it prints what holds and a hint, never raises, and returns True or False."""

    right: object  # a right answer
    cases: dict = field(default_factory=dict)  # what is printed -> arguments, or a list of them; plain first
    laws: tuple = ()
    mistakes: dict = field(default_factory=dict)  # hint -> a wrong answer
    hint: str = "compare with an example worked out by hand."  # where no mistake is recognized
    result: str = "it returns what is asked for"
    call: Callable = apply  # how an answer is put to use
    seen: Callable = lambda answer: answer  # what the laws are asked about
    unique: bool = True  # if not, the laws alone decide, and the cases only tell mistakes apart
    starter: object = None  # what stands in the notebook at first, if it runs
    rtol: float = 1e-4
    atol: float = 1e-6

    def __call__(self, answer):
        try:
            for statement, holds, hint in self.statements(answer):
                say(f"yes  {statement}" if holds else f"NO   {statement}")
                if not holds:
                    say(f"     Hint: {hint() if callable(hint) else hint}")
                    return False
        except NotImplementedError:
            say("Not solved yet: fill in the starter cell, run it, then run this check again.")
            return False
        except Exception as error:
            say(f"NO   it runs\n     Hint: {brief(error)}")
            return False
        say("All of it holds. Well done!")
        return True

    def statements(self, answer):
        """Yield (statement, whether it holds, hint) of an answer."""
        if unsolved(answer):
            raise NotImplementedError
        yield from [("it is your own", False, "this is a function of stlib: write yours.")] * borrowed(answer)
        given, right = self.arguments(), self.results(self.right)
        results = [self.call(answer, *arguments) for arguments in given]
        as_before = self.starter is not None and self.agree(results, self.results(self.starter))
        if as_before or any(map(unsolved, results)):
            raise NotImplementedError

        def hint(otherwise):
            return lambda: self.recognized(results) or otherwise

        if self.unique:
            wrong = [pair for pair in zip(results, right) if not matches(*pair, lambda x, y: True)]
            yield self.result, not wrong, hint(compared(*wrong[0]) if wrong else "")
        if any(given):
            yield UNCHANGED, matches(given, self.arguments(), np.array_equal), IN_PLACE
        seen = self.seen(answer) if self.laws else None
        for law in self.laws:
            try:
                holds = law.holds(seen)
            except Exception:
                if not self.recognized(results):
                    raise
                holds = False
            yield law.statement, holds, hint("" if holds or self.recognized(results) else law.advice(seen))
        for case in self.cases if self.unique else ():
            pairs = [pair for (name, _), *pair in zip(self.trials, results, right) if name == case]
            wrong = [pair for pair in pairs if not self.agree(*pair)]
            number = wrong and described(wrong[0][1])[0].isdigit()
            yield case, not wrong, hint(f"{self.hint} Now {compared(*wrong[0])}" if number else self.hint)

    @property
    def trials(self):
        """All cases one by one: (what is printed, arguments)."""
        lists = {name: each if isinstance(each, list) else [each] for name, each in self.cases.items()}
        return [(name, arguments) for name, each in lists.items() for arguments in each]

    def arguments(self):
        """A copy of the arguments of all cases, which an answer may spoil."""
        return [copy.deepcopy(arguments) for _, arguments in self.trials]

    def results(self, answer):
        """What an answer gives for all cases."""
        return [self.call(answer, *each) for each in self.arguments()]

    def agree(self, x, right):
        return matches(x, right, lambda x, y: np.allclose(x, y, self.rtol, self.atol, equal_nan=True))

    def recognized(self, results):
        """The hint of the mistake that gives most of these results, the first wrong one among them, or None."""
        right = self.results(self.right)
        wrong = [k for k, pair in enumerate(zip(results, right)) if not (self.unique and self.agree(*pair))]
        scores = {hint: self.agreement(mistake, results) for hint, mistake in self.mistakes.items()}
        fitting = [hint for hint, agree in scores.items() if wrong and agree[wrong[0]] and 2 * sum(agree) > len(agree)]
        return max(fitting, key=lambda hint: sum(scores[hint]), default=None)

    def agreement(self, answer, results):
        """In which cases an answer gives these results."""
        agree = []
        for arguments, result in zip(self.arguments(), results):
            with np.errstate(all="ignore"), contextlib.suppress(Exception):  # a mistake may also raise
                agree.append(self.agree(result, self.call(answer, *arguments)))
                continue
            agree.append(False)
        return agree


def unsolved(answer):
    return answer is None or answer is Ellipsis


def borrowed(answer):
    """Whether an answer, or one of a pair of them, is code of stlib: then the reader has not written it."""
    if isinstance(answer, (tuple, list)):
        return any(map(borrowed, answer))
    inner = getattr(answer, "func", getattr(answer, "__wrapped__", getattr(answer, "python_function", None)))
    if inner is not None:  # of functools.partial, of a decorated function, of tf.function
        return borrowed(inner)
    code = getattr(answer, "__code__", None)
    own = isinstance(code, types.CodeType) and Path(stlib.__file__).parent in Path(code.co_filename).parents
    return own or isinstance(answer, Exercise)


def matches(x, right, compare):
    """Whether x is built like `right` (a dict, tuple or list of such, an array) and `compare` holds for its arrays."""
    if isinstance(right, dict):
        return isinstance(x, dict) and x.keys() == right.keys() and all(matches(x[k], right[k], compare) for k in right)
    if isinstance(right, (tuple, list)):
        built = isinstance(x, (tuple, list, np.ndarray)) and len(x) == len(right)
        return built and all(matches(a, b, compare) for a, b in zip(x, right))
    if callable(right) or isinstance(right, str):
        return x == right
    x, right = np.asarray(x), np.asarray(right)
    return x.dtype.kind in "biuf" and x.shape == right.shape and bool(compare(x, right))


def compared(x, right):
    return f"it gives {described(x)}, expected {described(right)}."


def described(x):
    """A result in a few words: a number itself, of an array its shape."""
    if isinstance(x, dict):
        return f"a dict of {', '.join(map(str, x)) or 'nothing'}"
    if isinstance(x, tuple) or (isinstance(x, list) and not all(np.ndim(each) == 0 for each in x)):
        return f"({', '.join(map(described, x[:5]))}{', ...' * (len(x) > 5)})"
    number = np.ndim(x) == 0 and np.asarray(x).dtype.kind in "biuf"
    return f"{np.asarray(x):.6g}" if number else f"shape {np.shape(x)}"


def brief(error):
    """An error in one line, without the arrays that Keras prints, and the commonest cause."""
    message = " ".join(str(error).split())
    if "Functional.call" in message or "incompatible with the layer" in message:
        message = "a network takes a batch (1, h, w, 3), not (h, w, 3): image[None] adds the axis."
    if "'dict'" in message:
        message += " (features(...) is a dict: take the layer, features(...)[layer])"
    return f"your code raised {type(error).__name__}: {message[:200]}"
