DROP TABLE seen_table;
DROP TABLE mark;
