"""What all checks share: run the statements of a check, print them, never raise."""

import functools


def check(function):
    """Turn a generator of (statement, holds, hint) into a check of the reader's answer.

    The check prints each statement with yes or no and, under the first that does not hold, its hint. An error
    raised by the answer counts as not holding. Returns True if there were statements and all of them held.
    """

    @functools.wraps(function)
    def run(answer):
        held = []
        if answer is None or answer is Ellipsis:
            print("Not solved yet: replace the dots in the starter cell, run it, then run this check again.")
            return False
        try:
            for statement, holds, hint in function(answer):
                held.append(bool(holds))
                print(f"{'yes' if holds else 'NO '}  {statement}")
                if not holds:
                    print(f"     Hint: {hint}")
                    return False
        except Exception as error:
            if isinstance(error, NotImplementedError):
                print("Not solved yet: fill in the starter cell, run it, then run this check again.")
            else:
                print(f"NO   it runs\n     Hint: your code raised {type(error).__name__}: {_brief(error)}")
            return False
        print("All of it holds. Well done!")
        return bool(held)

    return run


def _brief(error):
    """The message of an error in one line, without the arrays that Keras prints, and the commonest cause."""
    message = " ".join(str(error).split())
    if "Functional.call" in message or "incompatible with the layer" in message:
        return "a network takes a batch (1, h, w, 3), not (h, w, 3): image[None] adds the axis."
    if "'dict'" in message:
        message += " (features(...) is a dict: take the layer, features(...)[layer])"
    return message[:200]
