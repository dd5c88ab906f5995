--  Twelve ways to join, each with three sets of constants.

-- J1a
SELECT min(fs.note), min(f.title), min(f.year) FROM part_played p, fact_kind k, film_studio fs, film_score s, film f
WHERE p.name = 'production' AND k.name = 'rating' AND s.score > 9.5 AND fs.note IS NOT NULL AND p.id = fs.part_id AND f.id = fs.film_id AND f.id = s.film_id AND k.id = s.fact_id AND f.year > 2000;

-- J1b
SELECT min(fs.note), min(f.title), min(f.year) FROM part_played p, fact_kind k, film_studio fs, film_score s, film f
WHERE p.name = 'distribution' AND k.name = 'rating' AND s.score > 9.0 AND fs.note IS NOT NULL AND p.id = fs.part_id AND f.id = fs.film_id AND f.id = s.film_id AND k.id = s.fact_id AND f.year > 2015;

-- J1c
SELECT min(fs.note), min(f.title), min(f.year) FROM part_played p, fact_kind k, film_studio fs, film_score s, film f
WHERE p.name = 'music' AND k.name = 'rating' AND s.score > 5.0 AND fs.note IS NOT NULL AND p.id = fs.part_id AND f.id = fs.film_id AND f.id = s.film_id AND k.id = s.fact_id AND f.year > 2018;

-- J2a
SELECT min(f.title) FROM studio st, country c, keyword w, film_studio fs, film_keyword fk, film f
WHERE c.code = 'c1' AND w.word = 'word-1' AND c.id = st.country_id AND st.id = fs.studio_id AND fs.film_id = f.id AND f.id = fk.film_id AND fk.keyword_id = w.id;

-- J2b
SELECT min(f.title) FROM studio st, country c, keyword w, film_studio fs, film_keyword fk, film f
WHERE c.code = 'c5' AND w.word = 'word-4000' AND c.id = st.country_id AND st.id = fs.studio_id AND fs.film_id = f.id AND f.id = fk.film_id AND fk.keyword_id = w.id;

-- J2c
SELECT min(f.title) FROM studio st, country c, keyword w, film_studio fs, film_keyword fk, film f
WHERE c.code = 'c40' AND w.word = 'word-20' AND c.id = st.country_id AND st.id = fs.studio_id AND fs.film_id = f.id AND f.id = fk.film_id AND fk.keyword_id = w.id;

-- J3a
SELECT min(f.title) FROM keyword w, film_fact ff, film_keyword fk, film f
WHERE w.word LIKE 'word-1%' AND ff.value IN ('lang30', 'lang31') AND f.year > 2010 AND f.id = ff.film_id AND f.id = fk.film_id AND w.id = fk.keyword_id;

-- J3b
SELECT min(f.title) FROM keyword w, film_fact ff, film_keyword fk, film f
WHERE w.word LIKE 'word-49__' AND ff.value IN ('Western') AND f.year > 1990 AND f.id = ff.film_id AND f.id = fk.film_id AND w.id = fk.keyword_id;

-- J3c
SELECT min(f.title) FROM keyword w, film_fact ff, film_keyword fk, film f
WHERE w.word LIKE 'word-7' AND ff.value IN ('Drama') AND f.year > 2015 AND f.id = ff.film_id AND f.id = fk.film_id AND w.id = fk.keyword_id;

-- J4a
SELECT min(s.score), min(f.title) FROM fact_kind k, film_score s, keyword w, film_keyword fk, film f
WHERE k.name = 'rating' AND w.word = 'word-2' AND s.score > 5.0 AND f.year > 2005 AND f.id = s.film_id AND f.id = fk.film_id AND w.id = fk.keyword_id AND k.id = s.fact_id;

-- J4b
SELECT min(s.score), min(f.title) FROM fact_kind k, film_score s, keyword w, film_keyword fk, film f
WHERE k.name = 'rating' AND w.word = 'word-900' AND s.score > 9.0 AND f.year > 2010 AND f.id = s.film_id AND f.id = fk.film_id AND w.id = fk.keyword_id AND k.id = s.fact_id;

-- J4c
SELECT min(s.score), min(f.title) FROM fact_kind k, film_score s, keyword w, film_keyword fk, film f
WHERE k.name = 'rating' AND w.word = 'word-4990' AND s.score > 2.0 AND f.year > 1990 AND f.id = s.film_id AND f.id = fk.film_id AND w.id = fk.keyword_id AND k.id = s.fact_id;

-- J5a
SELECT min(p.name), min(f.title) FROM credit cr, keyword w, film_keyword fk, person p, film f
WHERE w.word = 'word-3' AND p.name LIKE 'Tim%' AND f.year > 2010 AND w.id = fk.keyword_id AND f.id = fk.film_id AND f.id = cr.film_id AND p.id = cr.person_id;

-- J5b
SELECT min(p.name), min(f.title) FROM credit cr, keyword w, film_keyword fk, person p, film f
WHERE w.word = 'word-2500' AND p.name LIKE '%abc%' AND f.year > 2000 AND w.id = fk.keyword_id AND f.id = fk.film_id AND f.id = cr.film_id AND p.id = cr.person_id;

-- J5c
SELECT min(p.name), min(f.title) FROM credit cr, keyword w, film_keyword fk, person p, film f
WHERE w.word = 'word-4800' AND p.name LIKE 'Ang0%' AND f.year > 1950 AND w.id = fk.keyword_id AND f.id = fk.film_id AND f.id = cr.film_id AND p.id = cr.person_id;

-- J6a
SELECT min(p.name), min(f.title) FROM credit cr, job j, person p, film f, person_fact pf, fact_kind k
WHERE j.name = 'director' AND k.name = 'trivia' AND pf.value = 'f3' AND f.year BETWEEN 1980 AND 2010 AND p.id = cr.person_id AND f.id = cr.film_id AND j.id = cr.job_id AND pf.person_id = p.id AND k.id = pf.fact_id;

-- J6b
SELECT min(p.name), min(f.title) FROM credit cr, job j, person p, film f, person_fact pf, fact_kind k
WHERE j.name = 'composer' AND k.name = 'genre' AND pf.value = 'f800' AND f.year BETWEEN 1980 AND 2010 AND p.id = cr.person_id AND f.id = cr.film_id AND j.id = cr.job_id AND pf.person_id = p.id AND k.id = pf.fact_id;

-- J6c
SELECT min(p.name), min(f.title) FROM credit cr, job j, person p, film f, person_fact pf, fact_kind k
WHERE j.name = 'writer' AND k.name = 'budget' AND pf.value = 'f100' AND f.year BETWEEN 1980 AND 2010 AND p.id = cr.person_id AND f.id = cr.film_id AND j.id = cr.job_id AND pf.person_id = p.id AND k.id = pf.fact_id;

-- J7a
SELECT min(p.name) FROM credit cr, film_studio fs, studio st, country c, person p, job j, film f
WHERE c.code = 'c50' AND cr.note = '(voice)' AND j.name = 'actress' AND f.year > 2000 AND f.id = fs.film_id AND st.id = fs.studio_id AND c.id = st.country_id AND f.id = cr.film_id AND p.id = cr.person_id AND j.id = cr.job_id AND p.gender = 'f';

-- J7b
SELECT min(p.name) FROM credit cr, film_studio fs, studio st, country c, person p, job j, film f
WHERE c.code = 'c58' AND cr.note = '(voice)' AND j.name = 'composer' AND f.year > 2000 AND f.id = fs.film_id AND st.id = fs.studio_id AND c.id = st.country_id AND f.id = cr.film_id AND p.id = cr.person_id AND j.id = cr.job_id AND p.gender = 'f';

-- J7c
SELECT min(p.name) FROM credit cr, film_studio fs, studio st, country c, person p, job j, film f
WHERE c.code = 'c30' AND cr.note = '(uncredited)' AND j.name = 'director' AND f.year > 2000 AND f.id = fs.film_id AND st.id = fs.studio_id AND c.id = st.country_id AND f.id = cr.film_id AND p.id = cr.person_id AND j.id = cr.job_id AND p.gender = 'f';

-- J8a
SELECT min(ff.value), min(s.score), min(f.title) FROM film_fact ff, film_score s, fact_kind k1, fact_kind k2, film f, kind kd
WHERE k1.name = 'genre' AND ff.value = 'Western' AND k2.name = 'rating' AND s.score > 9.0 AND kd.name = 'movie' AND f.id = ff.film_id AND f.id = s.film_id AND k1.id = ff.fact_id AND k2.id = s.fact_id AND kd.id = f.kind_id;

-- J8b
SELECT min(ff.value), min(s.score), min(f.title) FROM film_fact ff, film_score s, fact_kind k1, fact_kind k2, film f, kind kd
WHERE k1.name = 'genre' AND ff.value = 'Horror' AND k2.name = 'rating' AND s.score > 9.8 AND kd.name = 'game' AND f.id = ff.film_id AND f.id = s.film_id AND k1.id = ff.fact_id AND k2.id = s.fact_id AND kd.id = f.kind_id;

-- J8c
SELECT min(ff.value), min(s.score), min(f.title) FROM film_fact ff, film_score s, fact_kind k1, fact_kind k2, film f, kind kd
WHERE k1.name = 'genre' AND ff.value = 'Documentary' AND k2.name = 'rating' AND s.score > 8.0 AND kd.name = 'series' AND f.id = ff.film_id AND f.id = s.film_id AND k1.id = ff.fact_id AND k2.id = s.fact_id AND kd.id = f.kind_id;

-- J9a
SELECT count(*) FROM credit a, credit b, film f
WHERE a.film_id = b.film_id AND a.person_id = 1 AND b.person_id = 2 AND f.id = a.film_id AND f.year > 1990;

-- J9b
SELECT count(*) FROM credit a, credit b, film f
WHERE a.film_id = b.film_id AND a.person_id = 70000 AND b.person_id = 100 AND f.id = a.film_id AND f.year > 1900;

-- J9c
SELECT count(*) FROM credit a, credit b, film f
WHERE a.film_id = b.film_id AND a.person_id = 300 AND b.person_id = 79000 AND f.id = a.film_id AND f.year > 1950;

-- J10a
SELECT f.title, count(*) FROM film f, credit cr, film_keyword fk
WHERE f.title = 'Film ' || md5('77') AND cr.film_id = f.id AND fk.film_id = f.id AND cr.position < 60 AND fk.keyword_id > 1 GROUP BY f.title;

-- J10b
SELECT f.title, count(*) FROM film f, credit cr, film_keyword fk
WHERE f.title = 'Film ' || md5('50000') AND cr.film_id = f.id AND fk.film_id = f.id AND cr.position < 10 AND fk.keyword_id > 100 GROUP BY f.title;

-- J10c
SELECT f.title, count(*) FROM film f, credit cr, film_keyword fk
WHERE f.title = 'Film ' || md5('59999') AND cr.film_id = f.id AND fk.film_id = f.id AND cr.position < 30 AND fk.keyword_id > 0 GROUP BY f.title;

-- J11a
SELECT p.name, f.title FROM person p, credit cr, film f, film_studio fs, studio st
WHERE p.id = 5 AND cr.person_id = p.id AND f.id = cr.film_id AND fs.film_id = f.id AND st.id = fs.studio_id AND st.name LIKE 'Lion%' ORDER BY f.year DESC LIMIT 20;

-- J11b
SELECT p.name, f.title FROM person p, credit cr, film f, film_studio fs, studio st
WHERE p.id = 40000 AND cr.person_id = p.id AND f.id = cr.film_id AND fs.film_id = f.id AND st.id = fs.studio_id AND st.name LIKE '%Arts%' ORDER BY f.year DESC LIMIT 10;

-- J11c
SELECT p.name, f.title FROM person p, credit cr, film f, film_studio fs, studio st
WHERE p.id = 79990 AND cr.person_id = p.id AND f.id = cr.film_id AND fs.film_id = f.id AND st.id = fs.studio_id AND st.name LIKE '%' ORDER BY f.year DESC LIMIT 50;

-- J12a
SELECT k.name, count(*) FROM film f, film_fact ff, fact_kind k, film_studio fs, studio st
WHERE st.name = (SELECT name FROM studio WHERE id = 10) AND fs.studio_id = st.id AND f.id = fs.film_id AND ff.film_id = f.id AND k.id = ff.fact_id AND f.kind_id = 1 AND f.year >= 2000 GROUP BY k.name ORDER BY 2 DESC;

-- J12b
SELECT k.name, count(*) FROM film f, film_fact ff, fact_kind k, film_studio fs, studio st
WHERE st.name = (SELECT name FROM studio WHERE id = 4000) AND fs.studio_id = st.id AND f.id = fs.film_id AND ff.film_id = f.id AND k.id = ff.fact_id AND f.kind_id = 2 AND f.year >= 1990 GROUP BY k.name ORDER BY 2 DESC;

-- J12c
SELECT k.name, count(*) FROM film f, film_fact ff, fact_kind k, film_studio fs, studio st
WHERE st.name = (SELECT name FROM studio WHERE id = 7999) AND fs.studio_id = st.id AND f.id = fs.film_id AND ff.film_id = f.id AND k.id = ff.fact_id AND f.kind_id = 1 AND f.year >= 1900 GROUP BY k.name ORDER BY 2 DESC;
