DROP VIEW real_runs;
