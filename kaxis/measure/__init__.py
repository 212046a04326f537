"""What a step costs, what reaches what, and what trained layers know."""
