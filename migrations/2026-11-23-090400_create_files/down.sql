DROP TABLE file_problems, file_rows, file_chunks, files;
DROP FUNCTION delete_rows_of_file;
