DROP TABLE missing;
DROP TABLE bucket;
DROP TABLE origin;
DROP TABLE shape;
