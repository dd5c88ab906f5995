-- (catalog, oid, kind, name) of PostgreSQL's own functions whose result is not only that of their arguments, of the settings of the
-- session and of rows: volatile ones, and stable ones but for those listed, which depend on settings alone.
--
-- The list goes by names: a name is in it if every stable function of that name, in any version from 13 to 18, depends on settings and arguments
-- (time zone, styles, locale, default text search configuration), or is the output of a type.
SELECT 1255 AS catalog, p.oid, 'call' AS kind, p.proname FROM pg_proc p
WHERE p.oid < 16384 AND p.prokind <> 'p' AND (p.provolatile = 'v' OR p.provolatile = 's' AND p.proname::text <> ALL ('{
    anytextcat,textanycat,array_out,array_to_json,array_to_string,concat,concat_ws,convert,convert_from,convert_to,format,in_range,length,
    money,numeric,overlaps,quote_literal,quote_nullable,to_char,to_date,to_number,to_timestamp,
    date_trunc,date_part,extract,timezone,date,time,timetz,timestamp,timestamptz,date_add,date_subtract,make_timestamptz,generate_series,
    date_eq_timestamptz,date_ge_timestamptz,date_gt_timestamptz,date_le_timestamptz,date_lt_timestamptz,date_ne_timestamptz,
    date_cmp_timestamptz,timestamp_eq_timestamptz,timestamp_ge_timestamptz,timestamp_gt_timestamptz,timestamp_le_timestamptz,
    timestamp_lt_timestamptz,timestamp_ne_timestamptz,timestamp_cmp_timestamptz,timestamptz_eq_date,timestamptz_ge_date,
    timestamptz_gt_date,timestamptz_le_date,timestamptz_lt_date,timestamptz_ne_date,timestamptz_cmp_date,timestamptz_eq_timestamp,
    timestamptz_ge_timestamp,timestamptz_gt_timestamp,timestamptz_le_timestamp,timestamptz_lt_timestamp,timestamptz_ne_timestamp,
    timestamptz_cmp_timestamp,timestamptz_pl_interval,timestamptz_mi_interval,interval_pl_timestamptz,
    date_out,time_out,timetz_out,timestamp_out,timestamptz_out,interval_out,record_out,range_out,multirange_out,enum_out,cash_out,
    row_to_json,to_json,to_jsonb,json_agg,jsonb_agg,json_agg_strict,jsonb_agg_strict,json_object_agg,jsonb_object_agg,
    json_object_agg_strict,json_object_agg_unique,json_object_agg_unique_strict,jsonb_object_agg_strict,jsonb_object_agg_unique,
    jsonb_object_agg_unique_strict,json_build_array,json_build_object,jsonb_build_array,jsonb_build_object,
    json_agg_transfn,json_agg_finalfn,jsonb_agg_transfn,jsonb_agg_finalfn,json_agg_strict_transfn,jsonb_agg_strict_transfn,
    json_object_agg_transfn,json_object_agg_finalfn,jsonb_object_agg_transfn,jsonb_object_agg_finalfn,
    json_object_agg_strict_transfn,json_object_agg_unique_transfn,json_object_agg_unique_strict_transfn,
    jsonb_object_agg_strict_transfn,jsonb_object_agg_unique_transfn,jsonb_object_agg_unique_strict_transfn,
    jsonb_path_exists_tz,jsonb_path_match_tz,jsonb_path_query_tz,jsonb_path_query_array_tz,jsonb_path_query_first_tz,
    to_tsvector,to_tsquery,plainto_tsquery,phraseto_tsquery,websearch_to_tsquery,ts_headline,ts_match_tt,ts_match_tq,
    json_to_tsvector,jsonb_to_tsvector}'::text[]))
UNION ALL
-- x.f is f(x) where f takes any row.
SELECT 1255, p.oid, 'attribute', p.proname FROM pg_proc p JOIN pg_type t ON t.oid = p.proargtypes[0]
WHERE p.oid < 16384 AND p.pronargs - p.pronargdefaults <= 1 AND p.pronargs > 0 AND t.typtype = 'p' AND t.typname <> ALL ('{internal,cstring,trigger,event_trigger}')
    AND (p.provolatile = 'v' OR p.provolatile = 's' AND p.proname::text <> ALL ('{row_to_json,to_json,to_jsonb,json_agg,jsonb_agg,concat,array_to_json,json_agg_strict,jsonb_agg_strict,json_build_array,json_build_object,jsonb_build_array,jsonb_build_object}'))
LIMIT 20000
