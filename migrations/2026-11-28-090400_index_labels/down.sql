DROP INDEX conversations_labelled;
DROP INDEX conversations_by_label;
