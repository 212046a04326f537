"""The image sets: one module a family, with its facts, its files and its reader. Sizes and counts are as their makers
give them.

An installed package adds one as an entry point of the group ``kaxis.sets`` that names an `ImageSet`.
"""
