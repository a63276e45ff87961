DROP TABLE list_members, lists;
DROP FUNCTION delete_members_of_list;
