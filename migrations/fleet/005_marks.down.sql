DROP TABLE pgweir_history.mark;
DROP TABLE pgweir_history.seen_table;
