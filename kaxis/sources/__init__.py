"""Sources of labelled data: the synthetic teacher, embedded digits, image files, and views of their labels."""
