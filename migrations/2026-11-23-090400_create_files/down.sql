DROP TABLE file_problems, file_rows, file_chunks, files;
