"""The same concepts asked of several models, in one folder: who is asked, which maps answer, who judges whom."""
