DROP INDEX webchat_visitors_silent;
