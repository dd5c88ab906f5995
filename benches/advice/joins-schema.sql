-- Films, people and studios: a schema of the kind of the Join Order Benchmark's (whose own statements are not ours to keep here), with synthetic rows.
-- Skewed and correlated: new films have more of everything, and studios of a country make films of its languages. Primary keys, and no other index.

SET client_min_messages = warning;
CREATE EXTENSION pg_stat_statements;
CREATE EXTENSION IF NOT EXISTS hypopg;

CREATE FUNCTION unit(i bigint, salt bigint) RETURNS double precision LANGUAGE sql IMMUTABLE AS
$$ SELECT ((hashint8extended(i, salt) >> 11) & 9007199254740991) / 9007199254740992.0::double precision $$;
CREATE FUNCTION even(i bigint, salt bigint, n int) RETURNS int LANGUAGE sql IMMUTABLE AS
$$ SELECT 1 + floor((((hashint8extended(i, salt) >> 11) & 9007199254740991) / 9007199254740992.0::double precision) * n)::int $$;
CREATE FUNCTION skewed(i bigint, salt bigint, n int) RETURNS int LANGUAGE sql IMMUTABLE AS
$$ SELECT 1 + floor(power(((hashint8extended(i, salt) >> 11) & 9007199254740991) / 9007199254740992.0::double precision, 3) * n)::int $$;

CREATE TABLE kind (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO kind SELECT i, (ARRAY['movie', 'episode', 'series', 'short', 'video', 'game'])[i] FROM generate_series(1, 6) AS i;

CREATE TABLE film (id int PRIMARY KEY, kind_id int NOT NULL, title text NOT NULL, year int, season int);
INSERT INTO film SELECT i, skewed(i, 1, 6), 'Film ' || md5(i::text), 2020 - skewed(i, 2, 110), CASE WHEN skewed(i, 1, 6) = 2 THEN even(i, 3, 20) END
FROM generate_series(1, 60000) AS i;

CREATE TABLE country (id int PRIMARY KEY, code text NOT NULL);
INSERT INTO country SELECT i, 'c' || i FROM generate_series(1, 60) AS i;

CREATE TABLE studio (id int PRIMARY KEY, name text NOT NULL, country_id int NOT NULL);
INSERT INTO studio SELECT i, (ARRAY['North', 'South', 'Lion', 'Star', 'Moon'])[even(i, 10, 5)] || ' ' || (ARRAY['Pictures', 'Films', 'Media', 'Arts'])[even(i, 11, 4)] || ' ' || i, skewed(i, 12, 60)
FROM generate_series(1, 8000) AS i;

CREATE TABLE part_played (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO part_played SELECT i, (ARRAY['production', 'distribution', 'effects', 'music'])[i] FROM generate_series(1, 4) AS i;

CREATE TABLE film_studio (id int PRIMARY KEY, film_id int NOT NULL, studio_id int NOT NULL, part_id int NOT NULL, note text);
INSERT INTO film_studio SELECT i, 1 + (skewed(i, 20, 60000) * 7) % 60000, skewed(i, 21, 8000), skewed(i, 22, 4), CASE WHEN i % 3 = 0 THEN '(' || 1990 + even(i, 23, 30) || ')' END
FROM generate_series(1, 120000) AS i;

CREATE TABLE fact_kind (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO fact_kind SELECT i, (ARRAY['genre', 'language', 'rating', 'votes', 'budget', 'release', 'runtime', 'trivia'])[i] FROM generate_series(1, 8) AS i;

CREATE TABLE film_fact (id int PRIMARY KEY, film_id int NOT NULL, fact_id int NOT NULL, value text NOT NULL);
INSERT INTO film_fact
SELECT i, even(i, 30, 60000), fact, CASE fact WHEN 1 THEN (ARRAY['Drama', 'Comedy', 'Action', 'Horror', 'Documentary', 'Western'])[skewed(i, 31, 6)]
    WHEN 2 THEN 'lang' || skewed(i, 32, 40) ELSE 'v' || skewed(i, 33, 3000) END
FROM generate_series(1, 260000) AS i, LATERAL (SELECT skewed(i, 34, 8) AS fact) AS made;

CREATE TABLE film_score (id int PRIMARY KEY, film_id int NOT NULL, fact_id int NOT NULL, score numeric(3, 1) NOT NULL);
INSERT INTO film_score SELECT i, i / 2 + 1, 3 + i % 2, round((10 * unit(i, 40))::numeric, 1) FROM generate_series(1, 80000) AS i;

CREATE TABLE keyword (id int PRIMARY KEY, word text NOT NULL);
INSERT INTO keyword SELECT i, 'word-' || i FROM generate_series(1, 5000) AS i;

CREATE TABLE film_keyword (id int PRIMARY KEY, film_id int NOT NULL, keyword_id int NOT NULL);
INSERT INTO film_keyword SELECT i, even(i, 50, 60000), skewed(i, 51, 5000) FROM generate_series(1, 160000) AS i;

CREATE TABLE person (id int PRIMARY KEY, name text NOT NULL, gender char(1), country_id int);
INSERT INTO person SELECT i, (ARRAY['Ang', 'Bo', 'Tim', 'Yo', 'Zu'])[even(i, 60, 5)] || md5(i::text), (ARRAY['f', 'm', NULL])[even(i, 61, 3)], skewed(i, 62, 60) FROM generate_series(1, 80000) AS i;

CREATE TABLE job (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO job SELECT i, (ARRAY['actor', 'actress', 'producer', 'writer', 'director', 'composer'])[i] FROM generate_series(1, 6) AS i;

CREATE TABLE credit (id int PRIMARY KEY, film_id int NOT NULL, person_id int NOT NULL, job_id int NOT NULL, note text, position int);
INSERT INTO credit SELECT i, even(i, 70, 60000), skewed(i, 71, 80000), skewed(i, 72, 6), CASE skewed(i, 73, 4) WHEN 1 THEN NULL WHEN 2 THEN '(voice)' ELSE '(uncredited)' END, even(i, 74, 60)
FROM generate_series(1, 420000) AS i;

CREATE TABLE person_fact (id int PRIMARY KEY, person_id int NOT NULL, fact_id int NOT NULL, value text NOT NULL);
INSERT INTO person_fact SELECT i, skewed(i, 80, 80000), even(i, 81, 8), 'f' || skewed(i, 82, 900) FROM generate_series(1, 90000) AS i;

DROP FUNCTION unit, even, skewed;
VACUUM (ANALYZE);
