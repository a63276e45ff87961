DROP TABLE sandbox_rules;
