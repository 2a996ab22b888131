"""Export of trained taggers to programs that run without this library.

`viterbi` decodes the scores of an exported program and depends on numpy alone. The other modules
write the files.
"""
