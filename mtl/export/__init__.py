"""Trained taggers as programs that run without this library.

`viterbi` needs numpy alone; the other modules make the files that it completes.
"""
